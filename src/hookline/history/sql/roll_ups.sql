-- roll_ups: the roll-ups of integrations and days; two arrays, one element each.
select integration_id, day, hours
from roll_ups
where (integration_id, day) in (
    select * from unnest(cast(:integrations as text[]), cast(:days as date[]))
)
