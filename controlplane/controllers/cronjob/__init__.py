"""CronJobs: a Job whenever a cron line says so."""
