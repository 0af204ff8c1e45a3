import { useTranslation } from "react-i18next";

import { Page } from "../shared/Page";
import { Deliveries } from "./Deliveries";

export function ListPage() {
  const { t } = useTranslation();
  return (
    <Page title={t("Deliveries")}>
      <Deliveries />
    </Page>
  );
}
