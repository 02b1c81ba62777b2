"""Make the provider that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import ConfigError

if TYPE_CHECKING:
    from core.settings import Settings
    from ingestion.providers.base import Provider


def make_provider(settings: Settings) -> Provider:
    """The provider named by `settings.provider`; its SDK is imported only now."""
    if settings.provider == "sample":
        from ingestion.providers.sample import SampleProvider

        return SampleProvider()
    if settings.provider == "files":
        from ingestion.providers.files import FilesProvider

        if settings.files_dir is None:
            raise ConfigError("PROVIDER=files needs FILES_DIR: the folder that holds the CSV or Parquet files.")
        return FilesProvider(settings.files_dir)
    from ingestion.providers.yahoo import YahooProvider

    return YahooProvider(cache_dir=settings.data_dir / "yfinance")
