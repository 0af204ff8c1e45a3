-- join_engines: take the first free place among the engines, for as long as this session lasts; $1 is the
-- first number of the engines' advisory locks. The filter is tried row by row and the limit stops it,
-- so that one lock is taken.
select place
from generate_series(0, 9999) as place
where pg_try_advisory_lock($1::int, place)
limit 1
