-- missing_indexes: the indexes of partitioned tables that partitions lack: name, table, definition, and the
-- partition, the newest first.
select parent_index.relname as index, parent.relname as parent, partition.relname as partition,
    pg_get_indexdef(parent_index.oid) as definition
from pg_index
join pg_class as parent_index on parent_index.oid = pg_index.indexrelid and parent_index.relkind = 'I'
join pg_class as parent on parent.oid = pg_index.indrelid and parent.relnamespace = current_schema()::regnamespace
join pg_inherits as days on days.inhparent = parent.oid
join pg_class as partition on partition.oid = days.inhrelid
where not pg_index.indisvalid
    and not exists (
        select
        from pg_inherits as attached
        join pg_index as own on own.indexrelid = attached.inhrelid
        where attached.inhparent = parent_index.oid and own.indrelid = partition.oid
    )
order by partition.relname desc, parent_index.relname
