"""What allows a destination that our own policy refused: named to administrators, who can change it (spec D2, J2)."""

from __future__ import annotations

from dataclasses import replace

from organizations.models import User
from protocols.diagnosis import Diagnosis

_CURES = {
    "port-not-allowed": "Add it to EMAILSETTINGS_DIAL_PORTS in the settings of this installation (numbers separated by "
    "commas) and start it anew.",
    "address-not-allowed": "If it is inside your own network, add that network to EMAILSETTINGS_DIAL_NETWORKS in the "
    "settings of this installation (such as 10.20.0.0/16, separated by commas) and start it anew.",
}


def told_to(user: User, diagnosis: Diagnosis | None) -> Diagnosis | None:
    """The diagnosis as `user` reads it: an administrator is told the setting, others are sent to an administrator."""
    if diagnosis is None or diagnosis.code not in _CURES or not user.is_administrator:
        return diagnosis
    first, *others = diagnosis.causes
    return replace(diagnosis, causes=(replace(first, cure=_CURES[diagnosis.code]), *others))
