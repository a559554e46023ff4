"""What the server keeps of a session, until nobody can come back to it.

Gradio keeps the last value of every component that a session was shown, pictures included, until `MOST` other sessions
have come. Of a tab that was closed it drops the State alone, after an hour. Neither is enough: a session is half a
megabyte here, and a program that names none has a new one with every call.
"""

from datetime import datetime

from gradio.queueing import Queue
from gradio.state_holder import SessionState

from .storage import AGE

MOST = 2000  # sessions; beyond them the ones that were used least recently are forgotten
UNUSED = 600  # seconds without an event; a phone that was put away for less comes back to its fill, tab closed or not


def forget_unused(queue: Queue) -> None:
    """Forgets the sessions to which nobody comes back. To be called where Gradio uses them, in the event loop."""
    holder, now = queue.blocks.state_holder, datetime.now()
    for session, used in list(holder.time_last_used.items()):
        state = holder.session_data.get(session)
        busy = queue.pending_event_ids_session.get(session)
        if not busy and (state is None or (now - used).total_seconds() > kept_for(state)):
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)


def kept_for(state: SessionState) -> float:
    """Seconds for which a session is kept after its last event."""
    filled = bool(state._state_ttl)  # something was stored in its State; without, it starts anew as it was
    return AGE if filled and not state.is_closed else UNUSED
