"""Write engine/identity/given_names.csv: given names of people of many countries, folded.

The names are those of the locales of mimesis (MIT licence), in Latin script. The linker holds a name that
stands in it for a name, and one that does not for what may be a misspelling.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from mimesis import Locale, Person

from engine.identity.normalise import name_parts, nicknames

MORE = (
    "ABDI ABDIRAHMAN ABDULLAH ABDULLAHI AHMAD AHMED AISHA ALEKSANDR AMAAN AMANDEEP ANAYA ARHAM ARRAN "
    "AYAAN AYESHA BILAL CAMERON CHUKWUEMEKA DARCIE DEKLAN DECLAN EESA EILIDH ESHAAL FAISAL FATIMAH "
    "FATOU FAYSAL GURPREET HAFSA HAMZA HARPREET HUSSAIN HUSSEIN IBRAHEEM IBRAHIM IQRA IYLA JAIDEN "
    "JAYDEN KADEN KAYDEN KHADIJA KHADIJAH KOFI LIBBY MAHMOUD MARYAM MARIAM MAXAMED MINAHIL MOHAMMAD "
    "MUSTAFA NIAMH OLEKSANDR OLUWASEUN OSMAN PRIYA RAYYAN SAFIYA SAFIYAH SHAKIRA SIOBHAN SUMAYA "
    "SUMAYYAH TAMIKA TARIQ UMAR USMAN XUSEEN YAHYA YUSUF YUSSUF ZAINAB ZAYNAB "
)
"""Names of children in English schools that those locales lack or spell in one way only."""
OUT = Path(__file__).resolve().parents[1] / "engine" / "identity" / "given_names.csv"


def names() -> list[str]:
    """Return the names, sorted."""
    found = {*nicknames(), *nicknames().values(), *MORE.split()}
    for locale in Locale:
        held = Person(locale)._extract(["names"])  # noqa: SLF001  # it gives no list of its names
        for group in held.values() if isinstance(held, dict) else [held]:
            parts = [name_parts(one) for one in group]
            found.update(one[0] for one in parts if one and one[0].isascii() and len(one[0]) > 1)
    return sorted(found)


if __name__ == "__main__":
    made = version("mimesis")
    head = f"# Given names of the locales of mimesis {made} (MIT licence), and more; folded, one a line.\n"
    OUT.write_text(head + "\n".join(names()) + "\n", encoding="utf-8")
