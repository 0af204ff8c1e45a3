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
import { AdminsOnly, NotThere, PageFailed } from "./layout/Failures";

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
  validateSearch: z.object({
    search: text,
    pbx: text,
    company: text,
    type: text,
    enabled: text,
  }),
  component: lazyRouteComponent(() => import("./integrations/ListPage"), "ListPage"),
});

const newIntegration = createRoute({
  getParentRoute: () => root,
  path: "/integrations/new",
  component: lazyRouteComponent(() => import("./integrations/NewPage"), "NewPage"),
});

const integration = createRoute({
  getParentRoute: () => root,
  path: "/integrations/$integrationId",
  validateSearch: z.object({ tab: text, status: text, event: text, since: text, until: text }),
  component: lazyRouteComponent(() => import("./integrations/DetailPage"), "DetailPage"),
});

const deliveries = createRoute({
  getParentRoute: () => root,
  path: "/deliveries",
  validateSearch: z.object({ status: text, event: text, since: text, until: text }),
  component: lazyRouteComponent(() => import("./deliveries/ListPage"), "ListPage"),
});

const delivery = createRoute({
  getParentRoute: () => root,
  path: "/deliveries/$deliveryId",
  component: lazyRouteComponent(() => import("./deliveries/DeliveryPage"), "DeliveryPage"),
});

const events = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: z.object({
    subject: text,
    pbx: text,
    company: text,
    event: text,
    since: text,
    until: text,
  }),
  component: lazyRouteComponent(() => import("./events/ListPage"), "ListPage"),
});

const event = createRoute({
  getParentRoute: () => root,
  path: "/events/$eventId",
  component: lazyRouteComponent(() => import("./events/EventPage"), "EventPage"),
});

const pbxs = createRoute({
  getParentRoute: () => root,
  path: "/pbxs",
  validateSearch: z.object({ search: text }),
  component: lazyRouteComponent(() => import("./admin/PbxsPage"), "PbxsPage"),
});

const admins = createRoute({ getParentRoute: () => root, id: "admins", component: AdminsOnly });

const keys = createRoute({
  getParentRoute: () => admins,
  path: "/keys",
  component: lazyRouteComponent(() => import("./admin/KeysPage"), "KeysPage"),
});

const erasures = createRoute({
  getParentRoute: () => admins,
  path: "/erasures",
  validateSearch: z.object({ job: text }),
  component: lazyRouteComponent(() => import("./admin/ErasuresPage"), "ErasuresPage"),
});

const system = createRoute({
  getParentRoute: () => admins,
  path: "/system",
  component: lazyRouteComponent(() => import("./admin/SystemPage"), "SystemPage"),
});

const tree = root.addChildren([
  home,
  integrations,
  newIntegration,
  integration,
  deliveries,
  delivery,
  events,
  event,
  pbxs,
  admins.addChildren([keys, erasures, system]),
]);

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
