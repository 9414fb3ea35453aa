"""HorizontalPodAutoscalers in both versions; v2 is what is stored."""
