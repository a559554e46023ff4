"""What the server has told a session and nobody has read: bounded, so that who asks and does not listen fills nothing.

Gradio keeps a queue of messages for each session, without end. A browser reads as fast as it is written to.
"""

import time
from typing import Any

from gradio.queueing import Queue

from .runs.turns import address_of
from .sessions import forget_unused

SESSION_MOST = 200  # unread messages, beyond which a session's searches end; four fills are told in about 160
ADDRESS_MOST = 400  # unread messages, beyond which the sessions of an address that listen least are forgotten
FORGOTTEN = 600  # seconds after its last question that a session which has not read its answers is forgotten


class Mailboxes:
    """Stands between a page's queue and those who ask it."""

    def __init__(self, queue: Queue):
        self._queue, self._push, self._send = queue, queue.push, queue.send_message
        self._owners: dict[str, tuple[str, float]] = {}  # of a session: its address, and when it last asked
        queue.push, queue.send_message = self.push, self.send_message

    async def push(self, body: Any, request: Any, username: str | None) -> tuple:
        """As `Queue.push`, after forgetting unused sessions and bounding what the address has left unread."""
        address = address_of(request)
        await self._forget_old()
        forget_unused(self._queue)
        await self._forget_of(address)
        answer = await self._push(body, request, username)
        self._owners[body.session_hash] = address, time.monotonic()
        return answer

    def send_message(self, event: Any, message: Any) -> None:
        """As `Queue.send_message`; ends what is done for a session that does not listen."""
        if self._unread(event.session_hash) >= SESSION_MOST:
            event.alive = False
        self._send(event, message)

    def _unread(self, session: str) -> int:
        box = self._queue.pending_messages_per_session.get(session)
        return box.qsize() if box else 0

    async def _forget_old(self) -> None:
        now = time.monotonic()
        for session, (_, asked) in list(self._owners.items()):
            if session not in self._queue.pending_messages_per_session:  # its connection was closed
                self._queue.pending_event_ids_session.pop(session, None)
                del self._owners[session]
            elif self._unread(session) and now - asked > FORGOTTEN:
                await self._forget(session)

    async def _forget_of(self, address: str) -> None:
        sessions = [session for session, (owner, _) in self._owners.items() if owner == address]
        unread = sum(map(self._unread, sessions))
        for session in sorted(sessions, key=self._unread, reverse=True):
            if unread <= ADDRESS_MOST:
                break
            unread -= self._unread(session)
            await self._forget(session)

    async def _forget(self, session: str) -> None:
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
        del self._owners[session]
