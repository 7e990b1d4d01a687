"""Where the book and its sources stand in the web: one setting, empty unless a workflow fills it in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

REPOSITORY = "BNSTUDY_REPOSITORY"
# Only for a site with an address of its own; GitHub's follows from the repository.
ADDRESS = "BNSTUDY_ADDRESS"
# Where the workflow puts the notebook of the re-run, with the repository filled in.
LAUNCH = "launch"

_GITHUB = re.compile(r"https://github\.com/([\w-]+)/([\w.-]+)")


@dataclass(frozen=True)
class Published:
    """A repository's address and the site's, both without a slash at the end; empty: nobody said."""

    repository: str = ""
    address: str = ""

    @property
    def name(self) -> str:
        """Owner and name of the repository."""
        return self.repository.removeprefix("https://github.com/")

    def blob(self, path: str) -> str:
        """Return where a file of the repository can be read."""
        return f"{self.repository}/blob/main/{path}"

    def issue(self, page: str) -> str:
        """Return where to write an issue about a page."""
        return f"{self.repository}/issues/new?title={quote(f'On the page {page}: ')}"

    def launches(self) -> dict[str, str]:
        """Return where the re-run on digits can be started, by the service's name."""
        return {
            "Binder": f"https://mybinder.org/v2/gh/{self.name}/main?urlpath=lab/tree/book/_launch/digits.ipynb",
            "Colab": f"https://colab.research.google.com/github/{self.name}/blob/{LAUNCH}/digits.ipynb",
        }


def published(environment: Mapping[str, str] = os.environ) -> Published:
    """Return what the environment says of the repository and the site.

    Raises:
        ValueError: the repository is none of GitHub's, whose addresses the links are made of, or the site's
            address is none.
    """
    repository = environment.get(REPOSITORY, "").rstrip("/")
    address = environment.get(ADDRESS, "").rstrip("/")
    if address and not address.startswith(("https://", "http://")):
        raise ValueError(f"{ADDRESS} is {address!r}; allowed: nothing, or an address with https://")
    if not repository:
        return Published("", address)
    parts = _GITHUB.fullmatch(repository)
    if parts is None:
        raise ValueError(
            f"{REPOSITORY} is {repository!r}; allowed: nothing, or https://github.com/OWNER/NAME"
        )
    owner, name = parts[1].lower(), parts[2]
    pages = f"https://{owner}.github.io" + ("" if name.lower() == f"{owner}.github.io" else f"/{name}")
    return Published(repository, address or pages)
