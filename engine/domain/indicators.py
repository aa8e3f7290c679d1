"""The thirty indicators of the case study's grid, as one table (the codes 1F and 4D are not used)."""

from __future__ import annotations

GROUPS = {
    "1": "Crime and anti-social behaviour",
    "2": "School",
    "3": "Children who need help",
    "4": "Work and money",
    "5": "Domestic abuse",
    "6": "Health",
}

INDICATORS: dict[str, str] = {
    "1A": "Proven or suspected offence",
    "1B": "Anti-social behaviour",
    "1C": "In prison, within a year of release",
    "1D": "Breached an order",
    "1E": "Anti-social behaviour managed by the police",
    "1G": "Youth caution or restorative justice",
    "2A": "Attendance below 90 per cent",
    "2B": "Suspended from school",
    "2C": "Permanently excluded",
    "2D": "At a pupil referral unit",
    "3A": "Open to early help",
    "3B": "Looked after",
    "3C": "Child in need",
    "3D": "Child protection plan",
    "3E": "Teenage pregnancy",
    "3F": "Missing episode",
    "3G": "Housing support",
    "3H": "Risk of sexual exploitation",
    "4A": "Out-of-work benefit",
    "4B": "Risk of leaving education (a score; feeds nothing here)",
    "4C": "Not in education or work",
    "4E": "Benefit cap",
    "4F": "Rent arrears",
    "4G": "Free school meals",
    "5A": "Domestic abuse: harmed",
    "5B": "Domestic abuse: harming",
    "5C": "Domestic abuse: no crime recorded",
    "6A": "Mental health concern",
    "6B": "Drug or alcohol concern",
    "6C": "Drug or alcohol support",
}
