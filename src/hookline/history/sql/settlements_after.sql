-- settlements_after: up to :most entries of the log above :after, and those :missing ones that can be seen now.
select id, integrations, deliveries, codes
from settlements
where id > :after or id = any(cast(:missing as bigint[]))
order by id
limit :most
