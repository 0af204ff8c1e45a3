-- newest_settlements: the numbers of the log's last :back entries, as far as they can be seen, and the highest.
select id, (select max(id) from settlements) as newest
from settlements
where id > (select max(id) from settlements) - :back
