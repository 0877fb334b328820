"""All that the check says, in both languages; a module for each group, and ``own`` for the frame around them."""

from __future__ import annotations

from .text import Text as Text
