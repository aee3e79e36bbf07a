-- no transaction
DROP INDEX CONCURRENTLY IF EXISTS image_cache_cleaned_up;
