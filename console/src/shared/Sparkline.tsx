// A small chart in a row of a list. Drawn here: the chart library is half of what a first view may weigh.
import { useTranslation } from "react-i18next";

import { localeOf } from "../i18n";

const WIDTH = 120; // pixels
export const HEIGHT = 28;
const GAP = 1;

interface Props {
  /** One number for each hour, oldest first. */
  delivered: readonly number[];
  failed: readonly number[];
}

/** Deliveries of the last hours, failures on top; its text says the sums. */
export function Sparkline({ delivered, failed }: Props) {
  const { t, i18n } = useTranslation();
  const number = new Intl.NumberFormat(localeOf(i18n.language), { notation: "compact" });
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  const most = Math.max(1, ...delivered.map((count, hour) => count + (failed[hour] ?? 0)));
  const step = WIDTH / Math.max(1, delivered.length);
  const text = t("{{delivered}} delivered, {{failed}} failed in 24 hours", {
    delivered: number.format(sum(delivered)),
    failed: number.format(sum(failed)),
  });
  return (
    <svg width={WIDTH} height={HEIGHT} role="img" aria-label={text} className="sparkline">
      <title>{text}</title>
      <line x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      {delivered.map((count, hour) => {
        const wrong = failed[hour] ?? 0;
        const bar = { x: hour * step, width: step - GAP };
        const [good, bad] = [heightOf(count, most), heightOf(wrong, most)];
        return (
          <g key={hour}>
            {count > 0 && <rect {...bar} y={HEIGHT - good} height={good} />}
            {wrong > 0 && (
              <rect {...bar} y={HEIGHT - good - bad} height={bad} className="sparkline-failed" />
            )}
          </g>
        );
      })}
    </svg>
  );
}

/** Something is seen of every count, however small beside the others. */
function heightOf(count: number, most: number): number {
  return count === 0 ? 0 : Math.max(2, Math.floor((count / most) * (HEIGHT - 4)));
}
