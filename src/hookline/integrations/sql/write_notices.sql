-- write_notices: write notices in their order, with what their integrations are named and owned now.
-- None of deleted integrations; the PBX that an integration was moved away from is not told.
insert into notices (type, integration_id, pbx, company, name, data)
select
    told.type, told.integration_id,
    case when disabled_reason is distinct from 'moved' then integrations.pbx end,
    coalesce(case when company_vouched then integrations.company end, pbxs.company),
    integrations.name, told.data
from unnest(cast(:types as text[]), cast(:ids as text[]), cast(:data as text[]))
    with ordinality as told (type, integration_id, data, place)
join integrations on integrations.id = told.integration_id and deleted_at is null
left join pbxs on pbxs.pbx = integrations.pbx and pbxs.deleted_at is null
order by place
