"""The leaderboard: all directors' adapters by all recipes, side by side."""
