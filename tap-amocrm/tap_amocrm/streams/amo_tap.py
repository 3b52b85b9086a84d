"""What the streams know of the tap they belong to."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

from tap_amocrm.run_context import Run
from tap_amocrm.sdk_seam import SeamTap
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.run_marker import RunMarker
from tap_amocrm.streams.outgoing import Follower


class AmoTap(SeamTap):
    """The tap, as far as its streams use it."""

    marker: RunMarker

    @cached_property
    @abstractmethod
    def run(self) -> Run:
        """What the streams share."""

    @abstractmethod
    def followers(self, stream: str) -> tuple[Follower, ...]:
        """The selected streams that are made of what a stream's records embed."""

    @abstractmethod
    def forget_links(self, gone: list[Record]) -> None:
        """Mark the links of what was deleted or merged away; `gone` are records of `deleted_records`."""
