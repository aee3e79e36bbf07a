-- no transaction
-- What the cleaning has moved to the trash, to be counted and offered again without reading the whole trash.
CREATE INDEX CONCURRENTLY IF NOT EXISTS image_cache_cleaned_up ON image_cache (id) WHERE cleaned_up;
