"""The roads to Azure: Container Apps, with records and lock in Blob storage, by the Azure CLI."""
