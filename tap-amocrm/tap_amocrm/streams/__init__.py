"""The streams as the SDK knows them: a class for each declaration."""

from __future__ import annotations

from tap_amocrm.declarations import DECLARATIONS
from tap_amocrm.declarations.declaration import Declaration, Reading
from tap_amocrm.streams.base import AmoStream
from tap_amocrm.streams.derived import DerivedStream
from tap_amocrm.streams.drive import DriveStream
from tap_amocrm.streams.entities import ChildStream, EntityStream
from tap_amocrm.streams.events import DeletionStream, EventStream
from tap_amocrm.streams.file_links import FileLinkStream
from tap_amocrm.streams.whole import AccountStream, NestedStream, WholeStream

_CLASSES: dict[Reading, type[AmoStream]] = {
    Reading.ENTITIES: EntityStream,
    Reading.CHILDREN: ChildStream,
    Reading.WHOLE: WholeStream,
    Reading.NESTED: NestedStream,
    Reading.ACCOUNT: AccountStream,
    Reading.DERIVED: DerivedStream,
    Reading.DRIVE: DriveStream,
    Reading.FILE_LINKS: FileLinkStream,
    Reading.EVENTS: EventStream,
    Reading.DELETIONS: DeletionStream,
}


def stream_class(declaration: Declaration) -> type[AmoStream]:
    """The class of a stream; subclass it to change what the stream does."""
    base = _CLASSES[declaration.reading]
    name = "".join(part.title() for part in declaration.name.split("_"))
    return type(name, (base,), {"declared": declaration, "__module__": __name__, "__doc__": base.__doc__})


STREAMS: tuple[type[AmoStream], ...] = tuple(map(stream_class, DECLARATIONS))
