import { Fragment } from "react";

/** The name of a type of event, which a narrow page breaks behind a colon and nowhere else. */
export function TypeName({ name }: { name: string }) {
  return (
    <span className="mono">
      {name.split(/(?<=:)/).map((part, index) => (
        <Fragment key={index}>
          {index > 0 && <wbr />}
          {part}
        </Fragment>
      ))}
    </span>
  );
}
