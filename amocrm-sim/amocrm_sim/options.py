"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field

from amocrm_sim.query import AccountOptions


@dataclass
class Options:
    """Everything about the server that is not its content."""

    latency: str = "0"
    faults: str = ""
    rps: float = 7
    token: str = "sim-token"
    client_id: str = "sim-client"
    client_secret: str = "sim-secret"
    code: str = "sim-code"
    access_token_lifetime: float = 86_400
    account: AccountOptions = field(default_factory=AccountOptions)
    notes_endpoint: str = "404"
    missing: str = "204"
    refuse: tuple[str, ...] = ()
    refuse_status: int = 403
    admin: bool = True
    foreign_next: bool = False
    event_delay: int = 0
    # How many made-up files the drive has, and its address.
    files: int = 0
    drive_url: str = "https://drive-b.amocrm.example"
