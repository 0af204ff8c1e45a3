// The types of events as a tree of groups with three-state boxes, for mouse, keyboard and screen reader.
import {
  Alert,
  Badge,
  Checkbox,
  Group,
  Input,
  Stack,
  Text,
  TextInput,
  Tree,
  type RenderTreeNodePayload,
  type TreeNodeData,
  useTree,
} from "@mantine/core";
import { ChevronDown, ChevronRight, Search } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { EventGroup, EventSelection, EventTypeDescription } from "../client";
import { Problem } from "../layout/Failures";
import { useCatalogue } from "../shared/catalogue";
import { Waiting } from "../shared/Listing";
import { TypeName } from "../shared/TypeName";
import { groupState, isChosen, toggleFuture, toggleGroup, toggleType } from "./selection";
import classes from "./EventTree.module.css";

interface Props {
  value: EventSelection;
  onChange: (value: EventSelection) => void;
  error?: string | undefined;
}

interface Node extends TreeNodeData {
  readonly nodeProps: { group: EventGroup; type?: EventTypeDescription };
}

const FUTURE = "future:"; // the leaf of a group that stands for types it will get later

export function EventTree({ value, onChange, error }: Props) {
  const catalogue = useCatalogue();
  if (catalogue.isPending) return <Waiting />;
  if (catalogue.isError)
    return <Problem error={catalogue.error} retry={() => void catalogue.refetch()} />;
  return <Groups groups={catalogue.data} value={value} onChange={onChange} error={error} />;
}

function Groups({ groups, value, onChange, error }: Props & { groups: EventGroup[] }) {
  const { t } = useTranslation();
  const label = useId();
  const [sought, setSought] = useState("");
  const [expanded, setExpanded] = useState(() => opened(groups, value));
  const nodes = useMemo(() => nodesOf(groups, sought, t("Types added later")), [groups, sought, t]);
  const everything = Object.fromEntries(groups.map(({ name }) => [name, true]));
  const tree = useTree({
    expandedState: sought ? everything : expanded,
    onExpandedStateChange: setExpanded,
    multiple: true,
  });

  function toggle(id: string): void {
    const group = groups.find(
      ({ name, types }) =>
        id === name || id === FUTURE + name || types.some((type) => type.name === id),
    );
    if (group === undefined) return;
    if (id === group.name) onChange(toggleGroup(value, group));
    else if (id === FUTURE + group.name) onChange(toggleFuture(value, group));
    else onChange(toggleType(value, group, id));
  }

  // What the space bar does is decided by the selection, which knows of future types.
  const controller: typeof tree = { ...tree, checkNode: toggle, uncheckNode: toggle };
  const chosen = groups.flatMap((group) =>
    group.types.filter((type) => isChosen(value, group, type.name)),
  ).length;
  return (
    <Input.Wrapper
      label={<span id={label}>{t("Types of events")}</span>}
      labelElement="div"
      required
      error={error}
      description={t(
        "A check: the whole group is chosen. A dash: some of it. Space switches, the arrow keys move.",
      )}
    >
      <Stack gap="xs" mt="xs">
        <TextInput
          aria-label={t("Search the types of events")}
          placeholder={t("Search the types of events")}
          leftSection={<Search size={16} />}
          value={sought}
          onChange={(event) => setSought(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Enter" && event.preventDefault()}
        />
        <Tree
          data={nodes}
          tree={controller}
          aria-labelledby={label}
          levelOffset={28}
          expandOnSpace={false}
          checkOnSpace
          className={classes.tree}
          onKeyDown={moveToEnds}
          renderNode={(payload) => <Row {...payload} value={value} toggle={toggle} />}
        />
        {nodes.length === 0 && <Text c="dimmed">{t("No type of event matches your search.")}</Text>}
        <Text size="sm" c="dimmed" role="status">
          {t("{{count}} types chosen", { count: chosen })}
        </Text>
        {value.presence !== undefined && (
          <Alert
            color="cyan"
            variant="light"
            title={t("Presence depends on the licence")}
            role="note"
          >
            {t(
              "A PBX with an x-bees licence sends presence events by default. With a Collaboration licence it sends user and telephone status only where presence events are switched on for the PBX.",
            )}
          </Alert>
        )}
      </Stack>
    </Input.Wrapper>
  );
}

interface RowProps extends RenderTreeNodePayload {
  value: EventSelection;
  toggle: (id: string) => void;
}

function Row({ node, hasChildren, expanded, elementProps, value, toggle }: RowProps) {
  const { t } = useTranslation();
  const id = useId();
  const row = useRef<HTMLDivElement>(null);
  const { group, type } = (node as Node).nodeProps;
  const state = groupState(value, group);
  const box = hasChildren
    ? boxOf(state)
    : type
      ? isChosen(value, group, type.name)
      : state === "all";
  const note = hasChildren ? groupNote(state, t) : undefined;
  // The tree item is Mantine's; what a screen reader has to know of the box is set on it here.
  useEffect(() => {
    const item = row.current?.closest("[role=treeitem]");
    item?.setAttribute("aria-checked", String(box));
    item?.setAttribute("aria-labelledby", id);
    item?.setAttribute("aria-describedby", `${id}-description`);
  }, [box, id]);

  const Chevron = expanded ? ChevronDown : ChevronRight;
  return (
    <div
      {...elementProps}
      ref={row}
      onClick={(event) => {
        elementProps.onClick(event);
        if (!hasChildren) toggle(node.value);
      }}
    >
      <Group gap="xs" wrap="nowrap" py={5} align="flex-start">
        {hasChildren ? (
          <Chevron size={18} className={classes.chevron} aria-hidden />
        ) : (
          <span className={classes.chevron} />
        )}
        <Checkbox.Indicator
          checked={box === true}
          indeterminate={box === "mixed"}
          aria-hidden
          mt={2}
          onClick={(event) => {
            if (!hasChildren) return;
            event.stopPropagation();
            toggle(node.value);
          }}
        />
        <div>
          <Group gap="0 var(--mantine-spacing-xs)" id={id}>
            <Text fw={hasChildren ? 600 : 400}>{node.label}</Text>
            {type && <TypeName name={type.name} />}
            {type?.licensed && (
              <Badge size="sm" variant="outline" color="gray" tt="none">
                {t("needs a licence")}
              </Badge>
            )}
            {note && (
              <Text size="sm" c="dimmed">
                {note}
              </Text>
            )}
          </Group>
          <Text size="sm" c="dimmed" id={`${id}-description`}>
            {type?.description ??
              (hasChildren
                ? group.description
                : t("Newer PBXs send new types; this integration gets those of the group too."))}
          </Text>
        </div>
      </Group>
    </div>
  );
}

function boxOf(state: ReturnType<typeof groupState>): boolean | "mixed" {
  return state === "some" ? "mixed" : state !== "none";
}

function groupNote(
  state: ReturnType<typeof groupState>,
  t: (text: string) => string,
): string | undefined {
  if (state === "all") return t("all, also future ones");
  if (state === "each") return t("each of today's");
  return undefined;
}

function nodesOf(groups: EventGroup[], sought: string, future: string): Node[] {
  const wanted = sought.trim().toLowerCase();
  return groups.flatMap((group) => {
    const whole = matches(wanted, group.title, group.name);
    const types = group.types.filter((type) => whole || matches(wanted, type.title, type.name));
    if (types.length === 0) return [];
    const leaves: Node[] = types.map((type) => ({
      value: type.name,
      label: type.title,
      nodeProps: { group, type },
    }));
    if (whole) leaves.push({ value: FUTURE + group.name, label: future, nodeProps: { group } });
    return [{ value: group.name, label: group.title, nodeProps: { group }, children: leaves }];
  });
}

function matches(wanted: string, ...texts: string[]): boolean {
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function opened(groups: EventGroup[], value: EventSelection): Record<string, boolean> {
  return Object.fromEntries(
    groups.map((group) => [group.name, groupState(value, group) === "some"]),
  );
}

/** Home and End, which the tree leaves to us. */
function moveToEnds(event: KeyboardEvent<HTMLUListElement>): void {
  if (event.key !== "Home" && event.key !== "End") return;
  event.preventDefault();
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=treeitem]")];
  items.at(event.key === "Home" ? 0 : -1)?.focus();
}
