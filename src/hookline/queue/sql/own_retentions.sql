-- own_retentions: PBXs whose events are kept for fewer days than $1, and for how many.
select pbx, retention_days
from pbxs
where retention_days < $1::int and deleted_at is null
order by pbx
