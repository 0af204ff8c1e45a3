-- count_exhausted: add what a process counted to each integration's row; says which are due.
-- Examples are ids with a space between them; at most :most are kept. Rows are written in the order
-- of their ids, so two processes that count the same cannot deadlock.
insert into exhausted_deliveries as known (integration_id, due_at, count, examples, last_error)
select id, now(), count, cast(string_to_array(examples, ' ') as uuid[]), error
from unnest(
    cast(:ids as text[]), cast(:counts as bigint[]), cast(:examples as text[]),
    cast(:errors as text[])
) as counted (id, count, examples, error)
order by id
on conflict (integration_id) do update set
    count = known.count + excluded.count,
    examples = (known.examples || excluded.examples)[1 : cast(:most as int)],
    last_error = excluded.last_error
returning due_at <= now() as is_due
