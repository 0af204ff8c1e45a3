import {
  ActionIcon,
  Alert,
  AppShell,
  Burger,
  Button,
  Group,
  NavLink,
  Stack,
  Text,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import {
  Activity,
  Eraser,
  Gauge,
  KeyRound,
  LogOut,
  PhoneCall,
  Send,
  Server,
  Webhook,
} from "lucide-react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import { useServiceAway } from "../api/connection";
import { getCurrentKeyOptions, getLivenessOptions } from "../client/@tanstack/react-query.gen";
import { SessionEnded } from "../session/SessionEnded";
import { session, useSession } from "../session/session";
import { scopeOf } from "../shared/states";
import { Time } from "../shared/Time";
import { Logo } from "./Logo";
import { LanguageMenu, SchemeToggle } from "./Preferences";

const LOOK_AGAIN = 2_000; // milliseconds between questions whether the service is back

/** What is around every page: navigation, preferences, and the banner while the service is away. */
export function Shell() {
  const { t } = useTranslation();
  const [opened, { toggle, close }] = useDisclosure();
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(close, [path, close]);
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding="md"
    >
      <a className="skip-link" href="#content">
        {t("Skip to the content")}
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={t("Navigation")}
              aria-expanded={opened}
            />
            <Logo />
          </Group>
          <Group gap={4} wrap="nowrap">
            <LanguageMenu />
            <SchemeToggle />
            <Button
              variant="subtle"
              color="gray"
              leftSection={<LogOut size={16} />}
              onClick={session.signOut}
              px="xs"
              visibleFrom="xs"
            >
              {t("Sign out")}
            </Button>
            <ActionIcon
              variant="subtle"
              color="gray"
              size="lg"
              hiddenFrom="xs"
              aria-label={t("Sign out")}
              title={t("Sign out")}
              onClick={session.signOut}
            >
              <LogOut size={18} />
            </ActionIcon>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" component="nav" aria-label={t("Navigation")}>
        <AppShell.Section grow>
          <Navigation />
        </AppShell.Section>
        <AppShell.Section p="xs">
          <Whose />
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Stack maw={1280} mx="auto">
          <ServiceAway />
          <Outlet />
        </Stack>
      </AppShell.Main>
      <SessionEnded />
    </AppShell>
  );
}

/** Whose key is signed in, and until when. */
function Whose() {
  const { t } = useTranslation();
  const key = useQuery({ ...getCurrentKeyOptions(), staleTime: Infinity }).data;
  if (key === undefined) return null;
  return (
    <Text component="div" size="sm" c="dimmed" className="break">
      <b>{key.name ?? `${key.hint}…`}</b>
      <div>
        {key.role} · {scopeOf(t, key)}
      </div>
      {key.expiresAt && (
        <div>
          {t("Expires")}: <Time at={key.expiresAt} />
        </div>
      )}
    </Text>
  );
}

function Navigation() {
  const { t } = useTranslation();
  const admin = useSession()?.role === "admin";
  const path = useRouterState({ select: (state) => state.location.pathname });
  const entries = [
    { to: "/integrations", label: t("Integrations"), icon: Webhook },
    { to: "/deliveries", label: t("Deliveries"), icon: Send },
    { to: "/events", label: t("Events"), icon: PhoneCall },
    { to: "/pbxs", label: t("PBXs"), icon: Server },
    ...(admin
      ? [
          { to: "/keys", label: t("Keys"), icon: KeyRound },
          { to: "/erasures", label: t("Erasure"), icon: Eraser },
          { to: "/system", label: t("System"), icon: Gauge },
        ]
      : []),
  ];
  return (
    <>
      {entries.map(({ to, label, icon: Icon }) => (
        <NavLink
          key={to}
          component={Link}
          to={to}
          label={label}
          leftSection={<Icon size={18} aria-hidden />}
          active={path.startsWith(to)}
          aria-current={path.startsWith(to) ? "page" : undefined}
        />
      ))}
    </>
  );
}

function ServiceAway() {
  const { t } = useTranslation();
  const away = useServiceAway();
  const queries = useQueryClient();
  const was = useRef(false);
  useQuery({
    ...getLivenessOptions(),
    enabled: away,
    refetchInterval: LOOK_AGAIN,
    retry: false,
    gcTime: 0,
  });
  useEffect(() => {
    if (was.current && !away) void queries.invalidateQueries();
    was.current = away;
  }, [away, queries]);
  if (!away) return null;
  return (
    <Alert
      color="orange"
      icon={<Activity size={18} />}
      title={t("The service does not answer")}
      role="alert"
    >
      <Text size="sm">
        {t(
          "What you see may be old. The console asks again every few seconds and goes on by itself; what you have typed is kept.",
        )}
      </Text>
    </Alert>
  );
}
