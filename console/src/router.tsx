// Every page and its address; what a list shows is in its address.
import {
  parseSearchWith,
  stringifySearchWith,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { z } from "zod/mini";

import { Shell } from "./layout/Shell";
import { NotThere, PageFailed } from "./layout/Failures";

const text = z.catch(z.optional(z.string()), undefined);

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotThere,
  errorComponent: PageFailed,
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/integrations" });
  },
});

const integrations = createRoute({
  getParentRoute: () => root,
  path: "/integrations",
  validateSearch: z.object({ pbx: text, company: text, type: text, enabled: text }),
  component: lazyRouteComponent(() => import("./integrations/ListPage"), "ListPage"),
});

const newIntegration = createRoute({
  getParentRoute: () => root,
  path: "/integrations/new",
  component: lazyRouteComponent(() => import("./integrations/NewPage"), "NewPage"),
});

const tree = root.addChildren([home, integrations, newIntegration]);

export const router = createRouter({
  routeTree: tree,
  basepath: "/console",
  parseSearch: parseSearchWith((value) => value), // a PBX's serial is no number
  stringifySearch: stringifySearchWith(String),
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
