-- next_revision: count a change of records; the row stays locked until the transaction ends.
update revision set value = value + 1 returning value
