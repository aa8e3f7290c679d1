// Start the GOV.UK components. Every page works without this.
import { initAll } from "/static/vendor/govuk-frontend.min.js";
initAll();
