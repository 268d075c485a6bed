"""Alerts: what somebody should hear of without looking, posted to a webhook."""

from typing import Any

import dagster as dg
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from director_diffusion.errors import AlertError
from resources.secrets import WEBHOOK_VARIABLE, hidden_in

TIMEOUT_S = (5.0, 10.0)  # to connect, to answer
TRIES, BACKOFF_S = 4, 0.5  # waits of 0, 1 and 2 s between them


class AlertsResource(dg.ConfigurableResource):
    """The webhook that alerts are posted to, if there is one.  Its address is a secret: who has it may post."""

    url: str | None = None

    def post(self, text: str, **facts: Any) -> None:
        """Post `text`, as Slack, Mattermost (`text`) and Discord (`content`) show it, and `facts` for programs.

        An answer of 429 or 5xx, and none at all, is asked again.  Raises AlertError, which does not hold the address,
        where the alert did not arrive.  What is posted has no secret in it, whatever the text quotes.
        """
        if self.url is None:
            raise AlertError("the webhook", "is not set", f"Set {WEBHOOK_VARIABLE}.")
        text, facts = hidden_in(text), hidden_in(facts)
        retry = Retry(
            TRIES - 1,
            backoff_factor=BACKOFF_S,
            status_forcelist=[429, *range(500, 600)],
            allowed_methods=None,
            respect_retry_after_header=False,  # it may ask for longer than a sensor lives
        )
        with requests.Session() as session:
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=retry))
            try:
                answer = session.post(
                    self.url,
                    json={"text": text, "content": text[:2000], "director_diffusion": facts},
                    timeout=TIMEOUT_S,
                    allow_redirects=False,  # a redirected POST comes as a GET, whose answer says nothing
                )
            except (requests.RequestException, ValueError) as error:
                # `from None`: what requests says of it holds the address.
                raise AlertError(
                    "the webhook",
                    f"did not take an alert: {type(error).__name__}",
                    f"See to {WEBHOOK_VARIABLE} or to its server.",
                ) from None
        if not 200 <= answer.status_code < 300:
            raise AlertError(
                "the webhook", f"answered {answer.status_code}", f"See to {WEBHOOK_VARIABLE} or to its server."
            )
