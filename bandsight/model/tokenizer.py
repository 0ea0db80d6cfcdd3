"""Sentences to token ids, as a model's text_cfg says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from bandsight.errors import ModelError


class LazyTokenizer:
    """open_clip's Hugging Face tokenizer, opened at the first sentence: a model can then encode images without it."""

    def __init__(self, text_cfg: dict[str, Any], folder: Path, *, trim: bool = False) -> None:
        """Take what a config says.

        Args:
            text_cfg: The config's `text_cfg`.
            folder: The model folder.
            trim: Drop columns that are padding in every row; right only for a text tower that masks padding.
        """
        self._cfg = text_cfg
        self._folder = folder
        self._trim = trim
        self._open: Callable[[list[str]], Tensor] | None = None

    def __call__(self, texts: list[str]) -> Tensor:
        """Return token ids (N, context), or (N, longest sentence) where padding is dropped."""
        if self._open is None:
            self._open = self._load()
        ids = self._open(texts)
        if not self._trim:
            return ids
        return ids[:, : max(1, int((ids != self._padding).sum(dim=1).max()))]

    def _load(self) -> Callable[[list[str]], Tensor]:
        from open_clip.tokenizer import HFTokenizer

        name = self._cfg.get("hf_tokenizer_name")
        if not name:
            raise ModelError(f"{self._folder}: text_cfg names no hf_tokenizer_name; need one to encode sentences")
        # A folder beside the config wins: it works offline.
        beside = self._folder / (str(name)[2:] if str(name).startswith("./") else "tokenizer")
        # A SigLIP repository that carries its tokenizer files at the top serves as its own tokenizer folder.
        if not beside.is_dir() and (self._folder / "tokenizer.json").is_file():
            beside = self._folder
        if not beside.is_dir() and str(name).startswith("./"):
            raise ModelError(f"{self._folder}: no folder {beside.name}, which hf_tokenizer_name names; get it again")
        where = str(beside) if beside.is_dir() else str(name)
        try:
            tokenizer: HFTokenizer = HFTokenizer(
                where,
                context_length=self._cfg.get("context_length", 77),
                tokenizer_mode=self._cfg.get("tokenizer_mode"),
                **{"clean": "canonicalize", **(self._cfg.get("tokenizer_kwargs") or {})},
            )
        except Exception as error:
            way = f"connect to the hub once, or put its files into {self._folder / 'tokenizer'}"
            if beside.is_dir():
                way = f"the files in {beside} are damaged or not all there, get them again"
            raise ModelError(f"tokenizer {name!r} cannot be opened ({type(error).__name__}); {way}") from error
        self._padding = int(tokenizer.tokenizer.pad_token_id or 0)
        opened: Callable[[list[str]], Tensor] = tokenizer
        return opened
