-- set_session: set what this session relies on: pairs of a name and a value. Left as they
-- are: a `search_path` from the URL's `options`, commits that wait for a replica to apply them, and a
-- whole server that is read-only. What an older server does not have is left out.
select pg_catalog.set_config(wanted.name, wanted.value, false)
from (values {values}) as wanted (name, value)
join pg_catalog.pg_settings as known on known.name = wanted.name
where not (known.name = 'search_path' and known.source = 'client')
    and not (known.name = 'synchronous_commit' and known.setting = 'remote_apply')
    and not (
        known.name = 'default_transaction_read_only'
        and known.source not in ('database', 'user', 'database user')
    )
