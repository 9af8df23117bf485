"""`python -m pybots.web.serve <farm root>`: the web process, in the foreground. SIGTERM ends it."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor, ssl
from twisted.internet.error import CannotListenError
from twisted.logger import STDLibLogObserver, globalLogBeginner

from pybots.config.errors import ConfigErrors
from pybots.farm import authority, tokens
from pybots.farm.home import Farm, open_farm
from pybots.web.answering import Answering
from pybots.web.app import App
from pybots.web.bodies import Admission
from pybots.web.files import Files
from pybots.web.hub import Hub
from pybots.web.joining import Joining
from pybots.web.machine import Machine
from pybots.web.metrics import Metrics
from pybots.web.patience import most_connections
from pybots.web.routes import Api
from pybots.web.site import FarmSite

log = logging.getLogger("pybots.web")

CALM: Final = (20_000, 20, 50)
"""Looking for circular garbage among a million remembered pieces takes 0.2 s, and every reader waits meanwhile; making a
page leaves next to none. So it is looked for seldom, and not in what stays as long as the process."""


def make_site(farm: Farm) -> FarmSite:
    """The listener's factory for a farm. Raises ConfigErrors for a webhook secret that is missing."""
    name = farm.config.webhook_secret
    secret = farm.config.secret(farm.folder.root, name) if name else ""
    admission = Admission(farm, _key(farm))
    app = App(farm)
    Files(app, admission, secret)
    Answering(app)
    Joining(app)
    metrics = Metrics(farm)
    Machine(app, metrics)
    Api(app)
    Hub(app, metrics.streams.set)
    return FarmSite(app.klein.resource(), admission, metrics.answered, most_connections())


def listen(farm: Farm) -> Any:
    """The farm's pages on their port. Raises ConfigErrors, CannotListenError, OSError without a certificate."""
    web, site = farm.config.web, make_site(farm)
    if not web.tls:
        return reactor.listenTCP(web.port, site, interface=web.listen)
    key, certificate = authority.listener(farm.folder)
    pair = ssl.PrivateCertificate.loadPEM(key.read_bytes() + certificate.read_bytes())
    options = ssl.CertificateOptions(
        privateKey=pair.privateKey.original,
        certificate=pair.original,
        raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
    )
    return reactor.listenSSL(web.port, site, options, interface=web.listen)


def _key(farm: Farm) -> bytes | None:
    """The token key; without one the pages work and uploads are refused."""
    try:
        return tokens.load_key(farm.folder.secrets)
    except tokens.TokenError as error:
        log.warning("uploads are refused: %s", error)
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. Exit status 2: the configuration or the address can't be used."""
    parser = argparse.ArgumentParser(prog="python -m pybots.web.serve", description=__doc__)
    parser.add_argument("root", type=Path, help="the farm's folder")
    root: Path = parser.parse_args(arguments).root
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("twisted").setLevel(logging.WARNING)
    globalLogBeginner.beginLoggingTo([STDLibLogObserver()], redirectStandardIO=False)
    try:
        farm = open_farm(root)
        farm.store.sweep()
        port: Any = listen(farm)
    except ConfigErrors as error:
        log.error("the configuration can't be used:\n%s", error)
        return 2
    except (CannotListenError, OSError) as error:
        log.error("%s", error)
        return 2
    where = port.getHost()
    scheme = "https" if farm.config.web.tls else "http"
    gc.collect()
    gc.freeze()
    gc.set_threshold(*CALM)
    log.info("listening on %s://%s:%s/", scheme, where.host, where.port)
    reactor.run()
    farm.ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
