"""What was tried and is not kept: whoever is about to leave it is asked once, on the page by a dialog, and by the
browser before it closes the page, loads it again or goes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from tasks.wording import counted

Act = Callable[[], Awaitable[None]]
LINK = "pear_leave"
"""The event of a link that was not followed; its address."""
_SCRIPT = f"""<script>
const hasUnsaved = () => document.querySelector("[data-unsaved]") !== null;
addEventListener("beforeunload", event => hasUnsaved() && event.preventDefault());
addEventListener("click", event => {{
  const link = event.target.closest("a[href]");
  if (!hasUnsaved() || !link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  emitEvent("{LINK}", link.getAttribute("href"));
}}, true);
</script>"""
_ANSWERS = {"s": "keep (s)", "d": "discard (d)", "Escape": "stay (Esc)"}


def mark_unsaved(element: ui.element, num: int) -> None:
    """Has the browser ask while there is something, and no more then."""
    element.props.set_bool("data-unsaved", num)


class Leaving:
    """The dialog of one page."""

    def __init__(
        self,
        press: Callable[[str], Awaitable[None]],
        *,
        keep: Callable[[], Awaitable[bool]],
        discard: Callable[[], None],
    ) -> None:
        """Takes what buttons do by their keys, what keeps and tells whether it could, and what discards."""
        self._keep, self._discard = keep, discard
        self._then: Act | None = None
        ui.add_head_html(_SCRIPT)
        # Escape comes here as any key does; the dialog by itself would be closed before it.
        with ui.dialog().props("no-esc-dismiss") as self._dialog, ui.card():
            self._text = ui.label().mark("unsaved")
            with ui.row():
                for key, text in _ANSWERS.items():
                    ui.button(text, on_click=partial(press, key)).props("dense no-caps flat").classes("px-2")

    @property
    def is_asking(self) -> bool:
        """Whether keys answer it."""
        return self._dialog.value

    def ask(self, num: int, then: Act) -> None:
        """Asks what becomes of so many corrections, and goes on unless the answer is to stay."""
        self._text.text = f"{counted(num, 'correction')} on this page {'is' if num == 1 else 'are'} not kept."
        self._then = then
        self._dialog.open()

    async def on_key(self, key: str) -> None:
        """Obeys an answer."""
        if key not in _ANSWERS:
            return
        self._dialog.close()
        if key == "Escape" or self._then is None or (key == "s" and not await self._keep()):
            return
        self._discard()
        await self._then()
