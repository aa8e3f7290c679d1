"""The column names of each agency's file."""

from __future__ import annotations

WHO = ("Forename", "Surname", "DOB", "Sex", "Address", "Postcode")
OCCURRENCE = (
    *(
        "OccurrenceRef",
        "NominalRef",
        "Role",
        "OffenceType",
        "Flag",
        "OccurredOn",
        "RecordedOn",
    ),
    *WHO,
    "MOText",
)
MISSING = (
    *("EpisodeRef", "NominalRef", "MissingFrom", "FoundOn", "ReportedOn", "RiskGrade"),
    *WHO,
)
ROLL = (
    *(
        "PupilID",
        "UPN",
        "LegalForename",
        "LegalSurname",
        "PreferredForename",
        "DateOfBirth",
    ),
    *(
        "Sex",
        "AddressLine",
        "Postcode",
        "SchoolURN",
        "OnRollFrom",
        "OnRollTo",
        "RecordedOn",
    ),
    *("NextDestination", "Ethnicity", "SENProvision"),
)
ATTENDANCE = (
    *("PupilID", "TermEnd", "PossibleSessions", "AttendedSessions", "Suspended"),
    "PermanentlyExcluded",
)
PERSONS = (
    *(
        "PersonID",
        "NHSNumber",
        "Forename",
        "Surname",
        "KnownAs",
        "BirthDate",
        "Gender",
        "Address",
    ),
    *(
        "Postcode",
        "HouseholdRef",
        "HouseholdFrom",
        "HouseholdTo",
        "CareHomeRef",
        "CareHomeFrom",
    ),
    *("ProtectedAddress", "RecordedOn"),
)
ARREARS = (
    *("TenantRef", "TenancyRef", "Forename", "Surname", "DOB", "Address", "Postcode"),
    *("TenancyFrom", "ArrearsSince", "ArrearsAmount", "RecordedOn"),
)
HEALTH = (
    *(
        "PatientRef",
        "NHSNumber",
        "GivenName",
        "FamilyName",
        "BirthDate",
        "Sex",
        "Postcode",
    ),
    *("Flag", "FlagFrom", "RecordedOn"),
)
