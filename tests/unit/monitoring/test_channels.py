"""Alerts through several channels: real webhooks and a real mail server on loopback, that take, refuse and hang."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from core.errors import ConfigError
from core.settings import Settings, read_settings
from monitoring.alerts import Alerts
from monitoring.channels import MailChannel, Message, apprise_channels, send_through
from tests.standins.mail import free_port, mail_server, text_of
from tests.standins.webhook import webhook

TOKEN = "t0ken" * 4
NOWHERE = Path("nowhere")


def settings(*urls: str, **changes: Any) -> Settings:
    return Settings.of(alerts__urls=tuple(SecretStr(url) for url in urls), **changes)


def mail_to(port: int) -> dict[str, Any]:
    return {"mail__host": "127.0.0.1", "mail__port": port, "mail__recipients": "ops@desk.test"}


def test_mail_and_every_webhook_get_an_alert_with_its_severity() -> None:
    with mail_server() as (inbox, port), webhook() as first, webhook() as second:
        alerts = Alerts(settings(first.url(), second.url(), **mail_to(port)))
        results = alerts.deliver("Batch rejected", "7 of 15 rows failed.", "critical")

    assert [(each.channel, each.delivered) for each in results] == [("mail", True), ("json", True), ("json 2", True)]
    assert inbox.subjects == first.titles == second.titles == ["[CRITICAL] Batch rejected"]
    assert text_of(inbox.mails[0]).strip() == first.received[0]["message"] == "7 of 15 rows failed."
    assert first.received[0]["type"] == "failure"


def test_a_webhook_that_refuses_stops_no_other_and_its_token_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with mail_server() as (inbox, port), webhook(500) as refusing, webhook() as taking, capture_logs() as events:
        sent = Alerts(settings(refusing.url(TOKEN), taking.url(TOKEN), **mail_to(port))).send("Drift", "PSI 0.4")

    assert sent
    assert (inbox.subjects, taking.titles) == (["[WARNING] Drift"], ["[WARNING] Drift"])
    refused = [event for event in events if event["event"] == "alert_not_sent"]
    assert [(each["channel"], each["reason"], each["body"]) for each in refused] == [
        ("json", "refused with HTTP status 500", "PSI 0.4")
    ]
    assert TOKEN not in str(events) + caplog.text


def test_a_webhook_that_hangs_is_given_up_and_stops_no_other() -> None:
    with mail_server() as (inbox, port), webhook(None) as hanging, webhook() as taking:
        chosen = settings(hanging.url(), taking.url(), alerts__timeout_seconds=1.0, **mail_to(port))
        results = Alerts(chosen).deliver("Drift", "PSI 0.4")

    assert {each.channel: each.delivered for each in results} == {"mail": True, "json": False, "json 2": True}
    assert inbox.subjects == taking.titles == ["[WARNING] Drift"]


def test_a_channel_that_answers_a_byte_at_a_time_is_given_up_after_the_timeout() -> None:
    class Endless:
        name = "endless"

        def __init__(self) -> None:
            self.over = threading.Event()

        def send(self, _: Message) -> None:
            self.over.wait(60)

    endless = Endless()
    (result,) = send_through([endless], Message("s", "b", "info"), 0.2)
    endless.over.set()

    assert (result.delivered, result.reason) == (False, "no answer within 0.2 s")


def test_a_webhook_that_is_down_is_named_by_its_scheme_alone() -> None:
    with capture_logs() as events:
        sent = Alerts(settings(f"json://127.0.0.1:{free_port()}/{TOKEN}")).send("Drift", "PSI 0.4")

    assert not sent
    assert [(each["event"], each["channel"], each["reason"]) for each in events] == [
        ("alert_not_sent", "json", "refused, or not reached")
    ]


def test_mail_that_is_down_does_not_keep_an_alert_from_a_webhook() -> None:
    with webhook() as hook:
        assert Alerts(settings(hook.url(), **mail_to(free_port()))).send("Drift", "PSI 0.4")

    assert hook.titles == ["[WARNING] Drift"]


@pytest.mark.parametrize(("least", "taken"), [("info", 3), ("warning", 2), ("critical", 1)])
def test_services_get_what_is_severe_enough_and_mail_gets_everything(least: str, taken: int) -> None:
    with mail_server() as (inbox, port), webhook() as hook:
        alerts = Alerts(settings(hook.url(), alerts__min_severity=least, **mail_to(port)))
        for severity in ("info", "warning", "critical"):
            alerts.send("Drift", "PSI 0.4", severity)  # type: ignore[arg-type]

    assert (len(inbox.mails), len(hook.received)) == (3, taken)


def test_one_channel_can_be_chosen() -> None:
    with mail_server() as (inbox, port), webhook() as hook:
        results = Alerts(settings(hook.url(), **mail_to(port))).deliver("Drift", "PSI 0.4", only={"json"})

    assert [each.channel for each in results] == ["json"]
    assert (inbox.subjects, hook.titles) == ([], ["[WARNING] Drift"])


def test_channels_of_one_scheme_are_numbered() -> None:
    urls = [SecretStr(url) for url in ("json://a/x", "ntfy://topic", "json://b/y")]

    assert [each.name for each in apprise_channels(urls, 1.0)] == ["json", "ntfy", "json 2"]
    assert MailChannel(Settings().mail, 1.0).name == "mail"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"slakk://{TOKEN}/x", "found slakk:// in entry 1 (did you mean slack://)"),
        (f"json://127.0.0.1/x,{TOKEN}", "found one without a scheme (entry 2)"),
        (f"slack://{TOKEN}", "entry 1, slack://, is not complete"),
        (f"{TOKEN}://x", "found one without a scheme (entry 1)"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_load_without_showing_it(
    value: str, words: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError) as refused:
        read_settings({"ALERTS__URLS": value}, NOWHERE)

    assert str(refused.value).startswith("ALERTS__URLS: ")
    assert words in str(refused.value)
    assert TOKEN not in str(refused.value) + caplog.text + "".join(capsys.readouterr())


def test_addresses_are_never_shown() -> None:
    chosen = read_settings({"ALERTS__URLS": f"json://127.0.0.1/{TOKEN}, ntfy://{TOKEN}"}, NOWHERE)

    assert len(chosen.alerts.urls) == 2
    assert TOKEN not in repr(chosen) + str(chosen.model_dump())
