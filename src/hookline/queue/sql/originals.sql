-- originals: the events that these digests first were.
select digest, event_id
from event_keys
where digest = any($1::uuid[])
