import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./styles.css";

import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { config } from "zod";

import { asApiError } from "./api/problems";
import { queries } from "./api/setup";
import { startI18n } from "./i18n";
import { router } from "./router";
import { SignIn } from "./session/SignIn";
import { session, takeKeyFromAddress, useSession } from "./session/session";
import { cssVariables, theme } from "./theme";

const REFUSED = 401;

config({ jitless: true }); // the content security policy allows no code made at run time

function Console({ handedKey }: { handedKey: string | null }) {
  const signedIn = useSession() !== null;
  const [handed, setHanded] = useState(handedKey); // used once: who signs out stays out
  if (signedIn && handed !== null) setHanded(null);
  if (!signedIn) return <SignIn handedKey={handed} />;
  return <RouterProvider router={router} />;
}

/** A vendor's page may hand an open console another key, such as the next short-lived one. */
function takeNewKey(): void {
  const key = takeKeyFromAddress();
  if (key === null) return;
  session.signIn(key).catch((error: unknown) => {
    if (asApiError(error).status === REFUSED) session.expire();
  });
}

async function start(): Promise<void> {
  const handedKey = takeKeyFromAddress();
  if (handedKey !== null && handedKey !== session.key()) session.signOut();
  window.addEventListener("hashchange", takeNewKey);
  await startI18n();
  const root = document.getElementById("root");
  if (root === null) throw new Error("index.html has no #root");
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
        <QueryClientProvider client={queries}>
          <Notifications position="bottom-right" />
          <Console handedKey={handedKey} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

void start();
