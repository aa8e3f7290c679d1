// Start the GOV.UK components. Every page works without this.
import { initAll } from "/static/vendor/govuk-frontend.min.js";
initAll();

// Show how far an upload is. Without this the browser sends the same form in its own way.
const form = document.querySelector("form[data-upload]");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const status = form.querySelector("[data-upload-status]");
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.addEventListener("progress", (moment) => {
      if (moment.lengthComputable) {
        const part = Math.floor((100 * moment.loaded) / moment.total);
        status.textContent = part < 100 ? `Sending: ${part} per cent` : "Sent. It is being read and checked.";
      }
    });
    request.addEventListener("load", () => {
      const followed = request.responseURL && request.responseURL !== form.action;
      if (followed) {
        window.location.assign(request.responseURL);
      } else {
        document.documentElement.innerHTML = request.responseText;
        window.scrollTo(0, 0);
      }
    });
    request.addEventListener("error", () => {
      status.textContent = "The delivery could not be sent. Try again.";
    });
    request.send(new FormData(form));
  });
}
