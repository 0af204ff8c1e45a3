// The closed lists of the API in words: health, statuses, reasons, errors. A new value shows as it is.
import { Badge } from "@mantine/core";
import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import type { DeliveryStatus, HealthState, IntegrationHealth } from "../client";

const STATUS_COLOURS: Record<DeliveryStatus, string> = {
  pending: "blue",
  delivered: "teal",
  failed: "red",
  skipped: "gray",
};
const HEALTH_COLOURS: Record<HealthState, string> = {
  healthy: "teal",
  failing: "orange",
  paused: "orange",
  disabled: "gray",
};

export function StatusBadge({ status }: { status: DeliveryStatus }) {
  const { t } = useTranslation();
  return (
    <Badge variant="outline" color={STATUS_COLOURS[status]} tt="none" className="state">
      {statusText(t, status)}
    </Badge>
  );
}

export function HealthBadge({ health }: { health: IntegrationHealth }) {
  const { t } = useTranslation();
  return (
    <Badge variant="outline" color={HEALTH_COLOURS[health.state]} tt="none" className="state">
      {healthText(t, health.state)}
    </Badge>
  );
}

export function statusText(t: TFunction, status: string): string {
  switch (status) {
    case "pending":
      return t("Pending");
    case "delivered":
      return t("Delivered");
    case "failed":
      return t("Failed");
    case "skipped":
      return t("Not sent");
    default:
      return status;
  }
}

export function healthText(t: TFunction, state: string): string {
  switch (state) {
    case "healthy":
      return t("Healthy");
    case "failing":
      return t("Failing");
    case "paused":
      return t("Paused");
    case "disabled":
      return t("Disabled");
    default:
      return state;
  }
}

/** Why an integration did not get an event, or why its delivery failed: a sentence. */
export function reasonText(t: TFunction, reason: string): string {
  switch (reason) {
    case "not_selected":
      return t("This type of event is not chosen in the integration.");
    case "disabled":
      return t("The integration was disabled.");
    case "licence":
      return t(
        "The PBX has a Collaboration licence and presence events are not switched on for it.",
      );
    case "filtered":
      return t("The integration's filter did not match.");
    case "deleted":
      return t("The integration was deleted.");
    case "unknown_type":
      return t(
        "The type is not in the catalogue, and the integration did not choose its whole group.",
      );
    case "stale":
      return t("It was older than the integration wants events to be.");
    case "superseded":
      return t("A newer event of the same kind replaced it.");
    case "erased":
      return t("Its content was erased for privacy.");
    case "rejected":
      return t("The receiver refused it with a status that is not retried.");
    case "gone":
      return t("The receiver answered 410 Gone; the integration was disabled.");
    case "exhausted":
      return t("Every attempt failed.");
    case "blocked":
      return t("The target's address is not allowed.");
    case "too_large":
      return t("It is too large for the target.");
    case "internal":
      return t("Hookline made a mistake; its log says more.");
    default:
      return reason;
  }
}

/** What went wrong in one attempt. */
export function errorText(t: TFunction, error: string, statusCode: number | null): string {
  switch (error) {
    case "dns":
      return t("The host's name was not found.");
    case "refused":
      return t("The connection was refused.");
    case "reset":
      return t("The connection broke.");
    case "tls":
      return t("The TLS connection failed.");
    case "timeout":
      return t("There was no answer in time.");
    case "blocked":
      return t("The target's address is not allowed.");
    case "status":
      return statusCode === null
        ? t("The receiver answered with an error.")
        : t("The answer was {{status}}.", { status: statusCode });
    case "protocol":
      return t("The answer was not proper HTTP.");
    case "throttled":
      return t("AWS asked to send more slowly.");
    case "credentials":
      return t("AWS refused the access key.");
    case "queue":
      return t("The queue does not exist, or may not be used.");
    case "encryption":
      return t("The queue's encryption key may not be used.");
    case "too_large":
      return t("It is too large for the target.");
    case "internal":
      return t("Hookline made a mistake; its log says more.");
    default:
      return error;
  }
}

/** Why TLS with a target did not come about. */
export function tlsText(t: TFunction, reason: string): string {
  switch (reason) {
    case "expired":
      return t("The certificate has expired.");
    case "not_yet_valid":
      return t("The certificate is not valid yet.");
    case "wrong_host":
      return t("The certificate is for another host.");
    case "self_signed":
      return t("The certificate is self-signed.");
    case "unknown_issuer":
      return t("The certificate's issuer is not trusted.");
    case "incomplete_chain":
      return t("The server does not send its intermediate certificates.");
    case "revoked":
      return t("The certificate was revoked.");
    case "invalid_certificate":
      return t("The certificate is not valid.");
    case "protocol_version":
      return t("The server speaks nothing from TLS 1.2 on.");
    case "client_certificate":
      return t("The server asks for a client certificate.");
    case "not_tls":
      return t("What answers on this port does not speak TLS.");
    case "handshake":
      return t("The server broke the handshake off.");
    default:
      return reason;
  }
}

/** Why an integration is disabled. */
export function disabledText(t: TFunction, health: IntegrationHealth): string {
  switch (health.disabledReason) {
    case "manual":
      return health.disabledBy
        ? t("Disabled by {{who}}.", { who: health.disabledBy })
        : t("Disabled by hand.");
    case "gone":
      return t("The receiver answered 410 Gone. Check the URL before you enable it again.");
    case "failing":
      return t("Nothing got through for days. Check the receiver before you enable it again.");
    case "moved":
      return t("The PBX has moved to another company.");
    case "unreadable":
      return t("Its secrets cannot be read with the service's encryption keys.");
    default:
      return t("The integration is disabled.");
  }
}

/** Whose objects a key opens. */
export function scopeOf(t: TFunction, key: { pbx: string | null; company: string | null }): string {
  return key.pbx ?? key.company ?? t("everything");
}

/** The states of a job that still does something. */
export const RUNNING: ReadonlySet<string> = new Set(["counting", "running"]);

export function jobStateText(t: TFunction, state: string): string {
  switch (state) {
    case "counting":
      return t("Counting");
    case "running":
      return t("Running");
    case "done":
      return t("Done");
    case "cancelled":
      return t("Cancelled");
    case "failed":
      return t("Failed");
    default:
      return state;
  }
}
