-- exhausted_due: lock at most :most rows of exhausted deliveries that are due, the oldest first.
-- Whoever counts is not waited for, and so cannot deadlock with this: the next round.
select *
from exhausted_deliveries
where
-- include exhausted_is_due
order by due_at
limit :most
for update skip locked
