-- store_roll_ups: write roll-ups of integrations and days, in place of what is there; three arrays.
insert into roll_ups (integration_id, day, hours)
select *
from unnest(
    cast(:integrations as text[]), cast(:days as date[]), cast(:hours as bytea[])
)
on conflict (integration_id, day) do update set hours = excluded.hours
