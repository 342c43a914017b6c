"""The node's machine as the harness sees it: its servers, its folder, its network."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Self

from tests.cluster.node import namespaces
from tests.cluster.node.network import Network, candidates
from tests.cluster.servers import ServerError, Servers

_TRIES = 20


class Machine(Servers):
    """A machine within this one. Its pids are not ours: `pids` are as it counts them itself.

    Attributes:
        network: joins it to this machine, and no further.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        super().__init__([Path(namespaces.__file__), json.dumps(_addresses(network))])

    @classmethod
    def anywhere(cls) -> Self:
        """A machine on a network that is free.

        Raises:
            ServerError: none could be made.
        """
        for network in islice(candidates(), _TRIES):
            try:
                return cls(network)
            except ServerError as error:
                if "File exists" not in str(error):
                    raise
        raise ServerError(f"{_TRIES} networks were tried, none was free")

    def close(self) -> None:
        """Ends everything in it, and it. May be called again."""
        super().close()
        namespaces.remove_cgroups(self.folder.name)  # should who does so have been killed


def _addresses(network: Network) -> dict[str, str]:
    return {
        "cable": network.cable,
        "host": f"{network.host}/{network.cable_prefix}",
        "node": f"{network.node}/{network.cable_prefix}",
        "bridge": f"{network.bridge}/{network.pods.prefixlen}",
        "whole": str(network.whole),
    }
