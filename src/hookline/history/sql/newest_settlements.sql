-- newest_settlements: the numbers of the log's last :back entries, as far as they can be seen, which of them are
-- so old that whoever took a lower number has ended, after :ends seconds, and the highest number.
select
    id, settled_at < now() - make_interval(secs => :ends) as has_ended,
    (select max(id) from settlements) as newest
from settlements
where id > (select max(id) from settlements) - :back
