"""Importers: official layouts of public data sets into workspaces."""

from plait.config import nearest
from plait.data.importers import amazon, amazon_domains, frappe, kuairand, movielens_1m, movielens_20m, movielens_100k
from plait.data.importers.contract import Draft, Importer, NoOptions
from plait.data.importers.folder import ImportReport, import_source
from plait.errors import ConfigError

IMPORTERS: dict[str, Importer] = {
    importer.name: importer
    for importer in (
        movielens_100k.IMPORTER,
        movielens_1m.IMPORTER,
        movielens_20m.IMPORTER,
        amazon.BEAUTY,
        amazon.SPORTS,
        amazon_domains.IMPORTER,
        frappe.IMPORTER,
        kuairand.IMPORTER,
    )
}
"""Every importer by name."""


def importer_named(name: str) -> Importer:
    """The importer called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in IMPORTERS:
        raise ConfigError(f"no importer is called '{name}'{nearest(name, list(IMPORTERS))} (see `plait data list`)")
    return IMPORTERS[name]


__all__ = ["IMPORTERS", "Draft", "ImportReport", "Importer", "NoOptions", "import_source", "importer_named"]
