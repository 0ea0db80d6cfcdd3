"""Converts texts to token ids, according to the text_cfg of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from bandsight.errors import ModelError


class LazyTokenizer:
    """open_clip's Hugging Face tokenizer, opened on first use: encoding images does not need it."""

    def __init__(self, text_cfg: dict[str, Any], folder: Path, *, trim: bool = False) -> None:
        """Configure the tokenizer.

        Args:
            text_cfg: The config's `text_cfg`.
            folder: The model folder.
            trim: Drop columns that are padding in every row. Only for text towers that mask padding.
        """
        self._cfg = text_cfg
        self._folder = folder
        self._trim = trim
        self._tokenize: Callable[[list[str]], Tensor] | None = None

    def __call__(self, texts: list[str]) -> Tensor:
        """Return token ids (N, context), or (N, longest text) without padding."""
        if self._tokenize is None:
            self._tokenize = self._load()
        ids = self._tokenize(texts)
        if not self._trim:
            return ids
        return ids[:, : max(1, int((ids != self._padding).sum(dim=1).max()))]

    def _load(self) -> Callable[[list[str]], Tensor]:
        from open_clip.tokenizer import HFTokenizer

        name = self._cfg.get("hf_tokenizer_name")
        if not name:
            raise ModelError(f"{self._folder}: text_cfg has no hf_tokenizer_name; need one to encode texts")
        # A folder next to the config takes precedence, because it works offline.
        local = self._folder / (str(name)[2:] if str(name).startswith("./") else "tokenizer")
        # SigLIP repositories have the tokenizer files in their root folder.
        if not local.is_dir() and (self._folder / "tokenizer.json").is_file():
            local = self._folder
        if not local.is_dir() and str(name).startswith("./"):
            raise ModelError(
                f"{self._folder}: no folder {local.name}, which hf_tokenizer_name names; download the model again"
            )
        source = str(local) if local.is_dir() else str(name)
        try:
            tokenizer: HFTokenizer = HFTokenizer(
                source,
                context_length=self._cfg.get("context_length", 77),
                tokenizer_mode=self._cfg.get("tokenizer_mode"),
                **{"clean": "canonicalize", **(self._cfg.get("tokenizer_kwargs") or {})},
            )
        except Exception as error:
            advice = f"connect to the hub once, or put its files into {self._folder / 'tokenizer'}"
            if local.is_dir():
                advice = f"the files in {local} are damaged or incomplete, download them again"
            raise ModelError(f"tokenizer {name!r} cannot be opened ({type(error).__name__}); {advice}") from error
        self._padding = int(tokenizer.tokenizer.pad_token_id or 0)
        tokenize: Callable[[list[str]], Tensor] = tokenizer
        return tokenize
