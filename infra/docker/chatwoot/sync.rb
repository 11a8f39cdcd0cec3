# Ruby keeps what it prints to a pipe until 8 KB are together, and a killed process takes it along. Puma and Sidekiq switch that off once they serve;
# a migration (rails db:chatwoot_prepare) and all that boots does not. Read by RUBYOPT.
$stdout.sync = true
$stderr.sync = true
